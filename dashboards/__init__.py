"""What is charted, declared once: panels.py. Grafana's JSON (grafana/) and the live page are both made from it."""
