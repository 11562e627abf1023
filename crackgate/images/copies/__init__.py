"""Copies of one photograph: descriptors of single images, and groups of many."""
