"""HEIC, which phones write, is read where the extra `heic` is installed: its codecs are LGPL."""

try:
    from pi_heif import register_heif_opener
except ImportError:
    IS_READ = False
else:
    register_heif_opener()
    IS_READ = True
