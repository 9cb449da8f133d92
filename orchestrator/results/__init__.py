"""What is kept: the database of finished trials and one folder of raw data per run."""
