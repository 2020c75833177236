import { describe, it } from 'node:test'
import { ownClusterProblem } from '../cluster/mod.ts'
import { nameOf } from './scene.ts'
import { CAPTURE, create, openStage, play, startOperator } from './stage.ts'
import { Told } from './told.ts'

const problem = ownClusterProblem()
const options = problem === '' ? {} : { skip: problem }

/** More than an API server's clients usually let one object say at once. */
const SYMBOLS = Array.from({ length: 30 }, (_, at) => `S${at}USDT`)

describe('a capture of many symbols', options, () => {
  it('an event tells of a halt right after the start of all its pods was told', async (context) => {
    const stage = await openStage(context)
    const { scene, runtime } = stage
    startOperator(stage)
    const told = await Told.open(context, scene)
    await play(stage, create(SYMBOLS))
    await told.event('PodCreated', `${CAPTURE}-`)
    const [symbol = ''] = SYMBOLS
    await runtime.halt(nameOf(await scene.live(symbol)), 'CrossedBook', 11)
    await told.event('CrossedBook', symbol)
  })
})
