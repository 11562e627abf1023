"""Fitting the head, then the top blocks: steps, checkpoints, class weights, devices."""
