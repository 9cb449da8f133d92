"""Small locustfiles with which the tests check Locust itself."""
