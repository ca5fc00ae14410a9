/** What is asked for by `status/192.0.2.7`: a text, bytes, or null for "not mine". */
export default async function status(request, context) {
  if (request.captures.ip === '0.0.0.0') return null;
  return `${request.captures.ip} asked for by ${request.client}, ${context.node?.name ?? 'nobody we know'}\n`;
}
