// The service counts Unicode code points; JavaScript's strings count UTF-16 units, of which an emoji has two.

export function codePointsOf(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The answer cut at its citations, in order: `{text, citation}`, where the citation is null for plain text. */
export function slicesOf(answer, citations) {
  const points = Array.from(answer);
  const slices = [];
  let end = 0;
  const add = (start, stop, citation) => {
    if (stop > start) slices.push({ text: points.slice(start, stop).join(""), citation });
  };
  for (const citation of [...citations].sort((a, b) => a.start - b.start)) {
    add(end, citation.start, null);
    add(Math.max(end, citation.start), citation.end, citation);
    end = Math.max(end, citation.end);
  }
  add(end, points.length, null);
  return slices;
}
