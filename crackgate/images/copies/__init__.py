"""Finding the images that are copies of one photograph: descriptors of single images, and groups of many."""
