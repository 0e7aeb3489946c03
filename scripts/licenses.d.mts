export function satisfied(expression: string, allowed: ReadonlySet<string>): boolean
export function npmFaults(lock: { packages: Record<string, object> }, allowed: ReadonlySet<string>): string[]
export function crateFaults(metadata: { packages: object[] }, allowed: ReadonlySet<string>): string[]
export function allowedLicenses(denyToml: string): ReadonlySet<string>
