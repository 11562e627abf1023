"""The backbones, their weights, and forms of them that train and serve faster."""
