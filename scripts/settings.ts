/** `npm run settings`: writes the files that are made from the settings. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PAGE_FILE, SCHEMA_FILE, schemaText, withSettings } from './settings-texts.ts';

const ROOT = join(import.meta.dirname, '..');

writeFileSync(join(ROOT, SCHEMA_FILE), schemaText());
const page = join(ROOT, PAGE_FILE);
writeFileSync(page, withSettings(readFileSync(page, 'utf8')));
