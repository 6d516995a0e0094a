import { answer } from '../who-had/answer.ts';
import { answerJson } from '../who-had/answer-json.ts';
import { answerText } from '../who-had/answer-text.ts';
import { type Question, readQuestion } from '../who-had/question.ts';
import { search } from '../who-had/search.ts';
import { UsageError, type WhoHadArguments } from './arguments.ts';

/**
 * `flowlogd who-had`: prints who was behind an address at a time, by flowlogd's own files. Returns 0 when someone was found,
 * 1 when nobody was and the files cover the time, 3 when the answer is uncertain, 2 when nothing could be read.
 */
export async function whoHad(args: WhoHadArguments): Promise<number> {
  let question: Question;
  try {
    question = readQuestion(args);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  const found = answer(await search(question, args.files));
  process.stdout.write(args.json ? `${JSON.stringify(answerJson(found))}\n` : answerText(found));
  return found.exitCode;
}
