@rem The scripts of package.json say `exec`, so that the signals npm passes on reach the program and not a shell. Windows has no such word; this is it.
@%*
