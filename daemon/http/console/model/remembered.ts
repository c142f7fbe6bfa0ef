/** The last answers of a function of a text: a view asks for the same large body several times. */

export function remembered<T>(answer: (text: string) => T, most: number): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    if (known.has(text)) return known.get(text) as T;
    const made = answer(text);
    known.set(text, made);
    if (known.size > most) known.delete(known.keys().next().value ?? "");
    return made;
  };
}
