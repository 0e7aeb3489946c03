export async function askOwner(_d: string): Promise<string|undefined> { return undefined }
