/** `npm run limits`: writes docs/limits.md. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { declaredLimits, pageOf } from './limits-page.ts';

writeFileSync(join(import.meta.dirname, '../docs/limits.md'), pageOf(declaredLimits()));
