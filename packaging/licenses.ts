/** `npm run licenses`: writes docs/licenses.md. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { licensesPage } from './licenses-page.ts';
import { ROOT } from './locked-packages.ts';

writeFileSync(join(ROOT, 'docs/licenses.md'), licensesPage());
