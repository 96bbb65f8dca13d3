"""What happens to validators, jobs and executors. Each function is one transaction."""
