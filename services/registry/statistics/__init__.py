"""Statistics (统计): counts of households and people, computed from the rows each time they are asked for."""
