export function replaceVersion(path: string, text: string, before: string, version: string): string
export function changelogFor(text: string, version: string, date: string): string
export function sectionOf(text: string, version: string): string
