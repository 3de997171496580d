"""Reading a foreign database exactly: engines, table shapes, keys, cells, pages."""
