"""What requests cost, and the page that shows it to Prometheus."""
