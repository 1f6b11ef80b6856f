// Browser storage that may be forbidden: the page then works without remembering anything.

export function remembered(storage, name) {
  try {
    return window[storage].getItem(name);
  } catch {
    return null;
  }
}

/** Remember text under a name, or forget the name where the text is null. */
export function remember(storage, name, text) {
  try {
    if (text === null) window[storage].removeItem(name);
    else window[storage].setItem(name, text);
  } catch {
    // Nothing else depends on it.
  }
}
