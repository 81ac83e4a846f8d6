"""Who makes variations; one file each, behind synthesis/back_end.py."""
