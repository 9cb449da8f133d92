"""What runs in the swarm image: Locust's master and workers, the clients they load with, and the contract probe."""
