/**
 * Accessibility checks for pages: names for controls, readable contrast, order, targets large enough for a finger. They
 * cover the rules of WCAG 2.2 (AA) that a program can check, as far as they apply to this project's pages.
 */
import type { Page } from 'playwright-core';

/** Runs in the page. The script is a string because these tests have no DOM types. */
const CHECKS = `(() => {
  const problems = [];
  const say = (element, what) => {
    const name = element.tagName.toLowerCase() + (element.id ? '#' + element.id : '') + (element.className && typeof element.className === 'string' ? '.' + element.className.trim().split(/\\s+/).join('.') : '');
    problems.push(what + ': ' + name + ' ' + JSON.stringify((element.textContent || '').trim().slice(0, 40)));
  };
  const isShown = (element) => {
    if (!element.checkVisibility({ opacityProperty: false, visibilityProperty: true })) return false;
    const { width, height } = element.getBoundingClientRect();
    return width > 1 && height > 1;
  };
  const modal = document.querySelector('dialog[open]');
  const scope = modal || document.body;
  const all = [...scope.querySelectorAll('*')].filter((element) => isShown(element));

  // Names (4.1.2, 3.3.2): what can be used says what it is.
  const nameOf = (element) => {
    const byIds = (ids) => ids.split(/\\s+/).map((id) => document.getElementById(id)?.textContent ?? '').join(' ').trim();
    const label = element.getAttribute('aria-label') || (element.hasAttribute('aria-labelledby') ? byIds(element.getAttribute('aria-labelledby')) : '');
    if (label) return label;
    if (element.labels && element.labels.length > 0) return element.labels[0].textContent.trim();
    return (element.textContent || '').trim();
  };
  const usable = 'button, a[href], input:not([type=hidden]), select, textarea, summary, [tabindex="0"], [role=button], [role=link]';
  for (const element of [...scope.querySelectorAll(usable), ...(modal ? [modal] : [])]) {
    if (!isShown(element) && element.type !== 'hidden') continue;
    const isField = /^(INPUT|SELECT|TEXTAREA)$/.test(element.tagName);
    const name = isField && !element.getAttribute('aria-label') ? ([...(element.labels ?? [])].map((label) => label.textContent).join(' ') || '').trim() : nameOf(element);
    if (name === '') say(element, 'no name');
    if (element.tagName === 'DIV' && !element.hasAttribute('role')) say(element, 'a stop without a role');
  }
  for (const element of document.querySelectorAll('[tabindex]')) if (element.tabIndex > 0) say(element, 'a tabindex above 0');
  for (const element of document.querySelectorAll('img:not([alt]), svg:not([aria-hidden]):not([role])')) say(element, 'an image without a text');

  // References and ids (4.1.1 of old, 1.3.1).
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) problems.push('an id twice: ' + id);
  for (const attribute of ['aria-labelledby', 'aria-describedby', 'for']) {
    for (const element of document.querySelectorAll('[' + attribute + ']')) {
      for (const id of element.getAttribute(attribute).split(/\\s+/)) if (!ids.includes(id)) say(element, attribute + ' leads nowhere');
    }
  }

  // Order (1.3.1, 2.4.6): one h1, no level left out; lists and tables made of their parts; landmarks; a language.
  if (!document.documentElement.lang) problems.push('no language');
  if (document.title.trim() === '') problems.push('no title');
  if (document.querySelectorAll('h1').length !== 1) problems.push('not one h1');
  if (document.querySelectorAll('main').length !== 1) problems.push('not one main');
  let level = modal ? 1 : 0;
  for (const heading of scope.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    if (!heading.checkVisibility()) continue;
    const own = Number(heading.tagName[1]);
    if (own > level + 1) say(heading, 'a heading that leaves a level out');
    if (heading.textContent.trim() === '') say(heading, 'an empty heading');
    level = own;
  }
  for (const item of scope.querySelectorAll('li')) if (!/^(UL|OL)$/.test(item.parentElement.tagName)) say(item, 'a list item in no list');
  for (const list of scope.querySelectorAll('ul, ol')) for (const child of list.children) if (child.tagName !== 'LI') say(child, 'no list item in a list');
  for (const table of scope.querySelectorAll('table')) {
    if (!table.caption) say(table, 'a table without a caption');
    for (const head of table.querySelectorAll('th:not([scope])')) say(head, 'a table head without a scope');
  }

  // Room for a finger (2.5.8): 24 by 24, but for links in running text.
  for (const element of scope.querySelectorAll('button, select, input, summary')) {
    if (!isShown(element)) continue;
    const { width, height } = element.getBoundingClientRect();
    if (width < 23.5 || height < 23.5) say(element, 'smaller than 24 by 24 (' + Math.round(width) + ' by ' + Math.round(height) + ')');
  }

  // Contrast (1.4.3): 4.5, and 3 for large text.
  const colours = (text) => [...text.matchAll(/rgba?\\(([^)]+)\\)/g)].map(([, parts]) => parts.split(/[,/ ]+/).filter(Boolean).map(Number)).map(([r, g, b, a = 1]) => [r, g, b, a]);
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
  const luminance = (rgb) => rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)).reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((one, other) => other - one); return (x + 0.05) / (y + 0.05); };
  // Every colour that may lie under a text: flat ones one over the other, and each of a gradient.
  const grounds = (element) => {
    const style = getComputedStyle(element);
    const under = element.parentElement ? grounds(element.parentElement) : [[255, 255, 255]];
    const [own] = colours(style.backgroundColor);
    const flat = own && own[3] > 0 ? under.map((ground) => over(own, ground)) : under;
    const painted = style.backgroundImage === 'none' ? [] : colours(style.backgroundImage).flatMap((colour) => flat.map((ground) => over(colour, ground)));
    return [...flat, ...painted];
  };
  let looked = 0;
  for (const element of all) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
    if (!own || element.closest('.visually-hidden, .skip')) continue;
    looked++;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const [ink] = colours(style.color);
    for (const ground of grounds(element)) {
      const found = contrast(over(ink, ground), ground);
      if (found < (isLarge ? 3 : 4.5)) { say(element, 'contrast ' + found.toFixed(2)); break; }
    }
  }
  if (looked < 5) problems.push('hardly a text to look at: ' + looked);
  return [...new Set(problems)];
})()`;

/** @returns the problems in words, empty if there are none. If a dialog is open, only the dialog is checked. */
export async function pageProblems(page: Page): Promise<string[]> {
  return await page.evaluate(CHECKS);
}
