"""From a request to stored attempts."""
