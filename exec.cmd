@rem "npm start" is "exec node ...": a Unix shell then becomes the server, so that signals and exit codes are its own.
@rem Windows has no such command; its shell finds this one, which runs what follows.
@%*
