"""What is put on a Prefect server: deployments and automations, and their removal."""
