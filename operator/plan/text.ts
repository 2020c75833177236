/** The beginning of a text. Half a character at its end would come back from the API server as another text. */
export function cutAt(text: string, lengthMax: number): string {
  return text.slice(0, lengthMax).toWellFormed()
}
