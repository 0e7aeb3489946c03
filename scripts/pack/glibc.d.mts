export function glibcNeeded(path: string): string
export function isNewer(one: string, other: string): boolean
