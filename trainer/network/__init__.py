"""The network: backbones and their weights, the classifier, and faster forms of both."""
