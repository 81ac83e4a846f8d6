"""Several miners on one machine: one settings file, a process, a port and a state folder each, one page for all."""
