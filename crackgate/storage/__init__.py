"""Places of data: folders of this machine, and prefixes of object stores."""
