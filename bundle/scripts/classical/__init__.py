"""Classical fusion rules, and probes that cheat the metrics: what a network is compared with."""
