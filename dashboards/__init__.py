"""What is charted, declared once (panels.py, kept.py): Grafana's JSON (grafana/) and the live page are made of it."""
