"""Where data lies: folders of this machine, and prefixes of object stores."""
