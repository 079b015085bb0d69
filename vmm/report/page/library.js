// Stands behind the charting library: all of its text has been read.
window.kv.libraryIsHere();
