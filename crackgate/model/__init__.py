"""Code that training and serving share: decoding, decision, calibration, engines, a loaded release."""
