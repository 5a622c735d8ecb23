"""Parts of the screen Promotions."""
