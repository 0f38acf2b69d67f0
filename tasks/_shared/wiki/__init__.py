"""Wikipedia for tools: live, cached, recorded or replayed MediaWiki, or an offline corpus."""
