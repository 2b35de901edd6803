"""EC-NAS for NASLib."""
