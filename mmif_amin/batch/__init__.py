"""Many studies: finding them, fusing them one after the other, and the table of what came of each."""
