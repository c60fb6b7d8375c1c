"""What each subcommand of `trendtrain` takes and does; heavy imports wait until it runs."""
