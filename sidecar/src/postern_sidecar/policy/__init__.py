"""The rendered policy at run time: reading it, noticing changes, holding the one in force."""
