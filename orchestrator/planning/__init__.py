"""Turn a Lab into a Plan: what runs, in which order, in how many processes, on which CPUs."""
