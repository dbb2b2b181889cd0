"""Mode Proxy at run time: its facade put together and served. Nothing here is loaded in mode Direct."""
