"""What people and programs are shown: tables, JSON, progress. Reads values, never touches anything."""
