"""One file for each package that tsrep speaks to; each knows the public names alone and is imported when it is used."""
