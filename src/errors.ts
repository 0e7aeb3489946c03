/** Errors that carry a stable code; `message` is written for the person who can act on it. */
export class SluicegateError extends Error {
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.name = new.target.name
  }
}

/** Wrong flags, files or environment: exit code 2. */
export class UsageError extends SluicegateError {
  constructor(message: string, options?: ErrorOptions) {
    super('usage', message, options)
  }
}

/** The event is in the log, but Kafka did not acknowledge it in time (`--ack kafka`); the request is answered 503. */
export class NotAcknowledged extends SluicegateError {
  constructor(message: string) {
    super('kafka_unacknowledged', message)
  }
}

/** The log cannot keep anything now; requests are answered 503 (rule R1). */
export class LogUnavailable extends SluicegateError {
  constructor(
    readonly reason: 'full' | 'failed' | 'closed',
    message: string,
    options?: ErrorOptions,
  ) {
    super(`log_${reason}`, message, options)
  }
}
